"""The response cache: lines that models wrote, kept to be said again. It stands over another Words and is one."""
