# SPDX-License-Identifier: Apache-2.0
# The target exuvia_build carries what every compilation and every link of this project has in common.
add_library(exuvia_build INTERFACE)

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON) # gnu11: statement expressions, the cleanup attribute, _GNU_SOURCE interfaces

target_compile_definitions(exuvia_build INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64)
target_compile_options(exuvia_build INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wundef -Wvla)
if(EXUVIA_WERROR)
  target_compile_options(exuvia_build INTERFACE -Werror)
endif()

if(EXUVIA_SANITIZE)
  set(sanitize -fsanitize=${EXUVIA_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_compile_options(exuvia_build INTERFACE ${sanitize} -O1 -g)
  target_link_options(exuvia_build INTERFACE ${sanitize})
else()
  target_compile_options(exuvia_build INTERFACE $<$<NOT:$<CONFIG:Debug>>:-fstack-protector-strong>)
  target_link_options(exuvia_build INTERFACE -Wl,-z,relro,-z,now -Wl,--as-needed)
endif()
