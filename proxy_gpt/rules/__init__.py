"""What people may do: plain functions, the acting user first, no Flask. The web and the admin command both call them.

Each opens the database connection it needs, or uses the caller's, and raises from `errors`.
"""
