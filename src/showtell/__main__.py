"""``python -m showtell``, and the program ``showtell``."""

from showtell.process import end_at_once


def program() -> None:
    """Run the command line as a process that ends at once when its work is done."""
    statuses = end_at_once()
    try:
        from showtell.cli import main

        main()
    except KeyboardInterrupt:  # before a command has begun
        statuses.append(130)
    except SystemExit as end:
        if isinstance(end.code, int):
            statuses.append(end.code)
        raise


if __name__ == "__main__":
    program()
