# Sourced: the interpreter to use, $PYTHON, the checkout's .venv, or python3.
python=${PYTHON:-}
if [[ -z $python ]]; then
    python=python3
    if [[ -x $root/.venv/bin/python ]]; then python=$root/.venv/bin/python; fi
fi
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
