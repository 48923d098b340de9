"""The least a Django view can do that reads and writes: the floor under the annotator's loop."""
