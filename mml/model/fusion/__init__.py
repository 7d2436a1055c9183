"""How the learners' scores become one ranking."""
