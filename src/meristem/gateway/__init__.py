"""The edge's way to what lives in other processes: requests are forwarded there, and answers back."""
