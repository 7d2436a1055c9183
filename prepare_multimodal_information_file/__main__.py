"""`python -m prepare_multimodal_information_file`."""

import signal

from prepare_multimodal_information_file.cli import main

if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `... | head` ends quietly
    raise SystemExit(main())
