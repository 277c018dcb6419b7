"""Wire formats and the machines that speak them; pure. Edge and collector meet only here."""
