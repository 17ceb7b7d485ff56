"""Innkeeper's command line; `python manage.py --help` lists the verbs."""

from app.cli.main import main

if __name__ == "__main__":
    main()
