"""The pages of staff, below /staff/. They read what there is, and change it by functions alone."""
