"""Training data: sources of annotated images become a stream of augmented samples.

- `readers`: annotation files and images -> samples. `sources` chooses the reader of a recipe's source.
- `augmentation`: random views and colours, and images composed of several samples.
- `stream`: samples by number, and their batches.
- `settings`: what a recipe states about all of these.
- `synthetic`: drawn figures, for tests and lessons.
- `preparation`: files made once, before training. `label_formats`: the labels of other tools.
"""
