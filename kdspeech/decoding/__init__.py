"""From log-probs to text: greedy CTC, a closed lexicon scored by CTC, and the attention decoder."""
