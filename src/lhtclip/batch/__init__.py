"""A resumable run over many images: plan, record, prefetch."""
