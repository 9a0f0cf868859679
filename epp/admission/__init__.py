"""Who may go on, who waits, who is refused."""
