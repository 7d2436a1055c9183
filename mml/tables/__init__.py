"""Tables from outside: as text, whatever their form; which column is what; times of any kind as seconds."""
