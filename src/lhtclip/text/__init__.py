"""Class names to text embeddings: vocabulary, prompt templates, embeddings and their cache."""
