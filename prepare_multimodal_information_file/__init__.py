"""From raw texts and pictures to feature files: `python -m prepare_multimodal_information_file --help`."""
