"""Following Production: the model that answers, how it is fetched, verified and swapped."""
