# Sourced: takes the GPU off the words if it is the first of them; gpu is 0 otherwise.
gpu=0
if [[ $# -gt 0 && $1 != --* ]]; then
    gpu=$1
    shift
fi
