"""The proof: the article's claims, a conformance table and one real case, each held against exact values."""
