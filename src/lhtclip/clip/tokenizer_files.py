"""Names of the files that hold a tokenizer where there is no tokenizer.json."""

VOCABULARY_FILE, MERGES_FILE = "vocab.json", "merges.txt"  # of byte pairs, always both
SENTENCEPIECE_FILE = "tokenizer.model"
WORDS_FILE = "vocab.txt"  # of BERT's word pieces
