# Sourced: takes the GPU off the arguments if it is the first of them; without one gpu is empty, and the config says which.
gpu=
if [[ $# -gt 0 && $1 != --* ]]; then
    gpu=$1
    shift
fi
