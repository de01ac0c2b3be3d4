"""Four functions, each joined to the next by a queue."""

import random
import time
from time import gmtime, strftime

from pipeline_runner.clusterer import i_wrap, io_wrap, o_wrap


# Process A (Generate a Random Number)
@i_wrap
def Generate():
    time.sleep(2)
    number = random.randint(1,10)
    _time = strftime("%Y-%m-%d %H:%M:%S", gmtime())
    # Print so that you can compare.
    print({'time':_time,'number':number})
    return {'time':_time,'number':number} # its a dict

# Process B
@io_wrap
def Square(x):
    # For Sanity check.
    print('Sqare',x)
    x = x['number'] # Remember its a dict
    return x*x

# Process C
@io_wrap
def Subtract1(x):
    print('Subtract',x)
    return x-1

# Process D
@o_wrap
def Print(x):
    print('Print',x)
