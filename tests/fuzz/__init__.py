"""What nobody thinks of: people who ask in any order, in any encoding and with much nonsense (`rules`, on the house of `company`),
held against a model of who may see what (`model`), and requests that are hardly HTTP (`raw`)."""
