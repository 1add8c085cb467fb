"""From folders of pictures to batches of lr/hr crops."""
