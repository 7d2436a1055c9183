# Sourced: the interpreter to use, $PYTHON, the checkout's .venv, or python3.
python=${PYTHON:-}
if [[ -z $python ]]; then
    python=python3
    if [[ -x $root/.venv/bin/python ]]; then python=$root/.venv/bin/python; fi
fi
lacking='import importlib.util, sys; sys.exit(sum(importlib.util.find_spec(one) is None for one in ("torch", "recbole")))'
if ! "$python" -c "$lacking"; then
    echo "error: $python does not run, or has not what mml needs: make install, whose .venv is found here; or name one that has it: PYTHON=FILE" >&2
    exit 2
fi
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
