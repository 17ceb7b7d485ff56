"""`manage.py demo`: a village that lives on the server, played by a game server of its own.

It is written as any client would be: it speaks the wire protocol and knows nothing of the server's inside.
"""
