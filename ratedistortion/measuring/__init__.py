"""One model measured on one split."""
