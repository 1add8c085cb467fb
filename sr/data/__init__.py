"""From folders of images to batches of lr/hr crops."""
