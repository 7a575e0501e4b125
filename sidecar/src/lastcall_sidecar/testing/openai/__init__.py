"""The fake OpenAI API: Chat Completions, Responses, embeddings and models, and the same as vLLM serves them."""
