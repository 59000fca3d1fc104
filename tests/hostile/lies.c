#include "hostile.h"
int run_lies(int count, char **arguments) { (void)count; (void)arguments; return 0; }
