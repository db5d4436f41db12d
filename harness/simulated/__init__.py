"""The simulated board at work for a user: what was asked, and what it gave as JSON lines, as a table and as
a result."""
