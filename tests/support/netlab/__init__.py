"""A network laboratory: hosts as namespaces of this machine, with NICs whose links have a line rate. See `lab.py`."""
