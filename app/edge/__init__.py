"""The wire: the only Litestar code. It turns frames and requests into calls, and answers into bytes."""
