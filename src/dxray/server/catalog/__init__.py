"""What people set up, small and transactional: saved views. Only here is SQLAlchemy imported, which costs a start
a quarter of a second; nothing outside imports these modules before a server opens."""
