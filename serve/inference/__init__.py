"""From a request's pictures to answers, what is remembered of them, and what people say of them."""
