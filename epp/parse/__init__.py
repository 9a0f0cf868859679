"""Reading bytes: what a request asks for, and what an answer says of tokens and of the model."""
