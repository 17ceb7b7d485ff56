"""Learning: environments, training and the scorecard; the command line alone imports it. Needs the extra `train`."""
