"""`python -m prepare_multimodal_information_file`."""

from prepare_multimodal_information_file.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
