"""Data: atomic files -> time split -> packed sequences -> tasks; item features joined by token."""
