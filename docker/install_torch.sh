#!/bin/sh
# Install the torch that requirements.txt pins, without CUDA: install_torch.sh PYTHON INDEX
#
# INDEX (PyTorch's own CPU index) is given up after five seconds without an answer. The plain index comes next: on Linux
# its torch holds CUDA and takes several GB, unless the index offers the CPU build under that name.
set -eu
python=$1 index=$2
torch=$(grep '^torch==' requirements.txt)
if "$python" -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1].rstrip("/") + "/torch/", timeout=5)' \
    "$index" 2>/dev/null; then
    "$python" -m pip install --quiet --index-url "$index" "$torch"
else
    echo "$index is not reached: installing $torch from the plain index" >&2
    "$python" -m pip install --quiet "$torch"
fi
