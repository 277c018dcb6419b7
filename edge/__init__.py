"""Panel bridge: field -> panel -> journal -> reporting (ARCHITECTURE.md)."""

import os

# Tone detection multiplies small matrices: BLAS threads cost twenty times what they bring (P11).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
