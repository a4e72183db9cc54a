"""What a recipe says: its sections typed and checked, and the folder that a run writes to."""
