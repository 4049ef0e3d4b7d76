"""Code: language models over program text, judged by running what they wrote."""
