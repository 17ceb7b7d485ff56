"""Authored dialogue graphs: ink and Yarn Spinner compiled into one model, and the machine that plays it.

A story can read the world and never writes it: what it wants done is a proposal for the truth gate.
"""
