"""The endpoints: a blueprint for each group. A view reads the fields, calls one rule, and answers."""
