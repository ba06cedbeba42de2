"""What the use cases need from the outside, as protocols. Adapters implement them; one contract suite tests each."""
