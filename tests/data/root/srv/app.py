import ctypes


class Anvil:
    weight = 1

    def strike(self):
        return 1 + ctypes.string_at(16)


def main():
    # a call of several lines
    result = Anvil().strike(
        1,
    )


main()
