"""Who is there: users, their keys, and what a credential stands for."""
