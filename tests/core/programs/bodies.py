# SPDX-License-Identifier: Apache-2.0
# Code that is not a plain function: class bodies, decorators, comprehensions, lambdas, exec, eval, nested functions.
import functools

import record


def wrapped(function):
    @functools.wraps(function)
    def wrapper(*arguments, **keywords):
        return function(*arguments, **keywords)
    return wrapper


def decorate(then):
    def decorator(function):
        then()
        return function
    return decorator


class Meta(type):
    def __new__(cls, name, bases, namespace):
        if 'then' in namespace:
            namespace['then'](None)
        return super(Meta, cls).__new__(cls, name, bases, namespace)

    def __call__(cls):
        return super(Meta, cls).__call__()


def in_exec():
    exec('def executed():\n'
         '    eval("(lambda:\\n record.die())()")\n'
         'executed()', {'record': record})


def in_nested():
    def first():
        def second():
            class Local(object):
                @wrapped
                def method(self):
                    in_exec()

                @staticmethod
                def static():
                    Local().method()

                @classmethod
                def factory(cls):
                    cls.static()
            Local.factory()
        second()
    first()


def in_comprehensions():
    return [
        {key: set(in_nested() for _ in [1])
         for key in [1]}
        for _ in [
            1
        ]
    ]


def in_set():
    return {in_comprehensions() for _ in [1]}


def in_class():
    class Outer(object):
        class Inner(object):
            value = (lambda: in_set())()


def in_meta():
    return Meta('Made', (object,), {'then': lambda self: in_class()})


def in_decorator():
    @decorate(in_meta)
    @decorate(lambda: None)
    def function():
        pass


def in_default():
    def function(argument=in_decorator()):
        pass


in_default()
