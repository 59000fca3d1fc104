# SPDX-License-Identifier: Apache-2.0
# Never rests. Every stack that it can have: <module> calls up() in line 21 and down() in line 22; up() and down() call
# themselves in lines 9 and 15, and leaf() in lines 10 and 16. No frame of up() has ever been below one of down().
def leaf():
    pass

def up(n):
    if n:
        up(n - 1)
    leaf()


def down(n):
    if n:
        down(n - 1)
    leaf()


open('ready', 'w').close()
while True:
    up(3)
    down(3)
