package dev.promptresolver;

import com.google.protobuf.ListValue;
import com.google.protobuf.NullValue;
import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.Collection;
import java.util.Map;

/** The values of a template's variables, as requests carry them. */
public final class Variables {
  private static final BigDecimal LARGEST_INTEGER = BigDecimal.valueOf(1L << 53);

  private Variables() {}

  /**
   * Returns variables by their names.
   *
   * @param variables strings, numbers, booleans, nulls, and collections and maps of these
   * @throws IllegalArgumentException for a value that is none of them, for a name that is no
   *     string, for text that is cut within a character, and for a number beyond 2^53 that is no
   *     {@code double}, which would arrive as another one: send it as a string. The message tells
   *     where it is.
   */
  public static Struct of(Map<String, ?> variables) {
    return struct("variables", variables);
  }

  private static Struct struct(String path, Map<?, ?> values) {
    var struct = Struct.newBuilder();
    values.forEach(
        (key, value) -> {
          if (!(key instanceof String name)) {
            throw refuse(path, "names that are strings", key);
          }
          struct.putFields(name, value(path + "." + name, value));
        });
    return struct.build();
  }

  private static Value value(String path, Object value) {
    var made = Value.newBuilder();
    if (value == null) {
      made.setNullValue(NullValue.NULL_VALUE);
    } else if (value instanceof CharSequence text) {
      made.setStringValue(text(path, text.toString()));
    } else if (value instanceof Boolean flag) {
      made.setBoolValue(flag);
    } else if (value instanceof Number number) {
      made.setNumberValue(number(path, number));
    } else if (value instanceof Map<?, ?> map) {
      made.setStructValue(struct(path, map));
    } else if (value instanceof Collection<?> list) {
      made.setListValue(list(path, list));
    } else {
      throw refuse(path, "a string, number, boolean, list or map", value);
    }
    return made.build();
  }

  private static String text(String path, String text) {
    // What is cut in the middle of a character would arrive as another one.
    if (!StandardCharsets.UTF_8.newEncoder().canEncode(text)) {
      throw new IllegalArgumentException(
          path + ": expected text that is Unicode, got half a surrogate pair");
    }
    return text;
  }

  private static ListValue list(String path, Collection<?> values) {
    var list = ListValue.newBuilder();
    for (var each : values) {
      list.addValues(value(path + "[" + list.getValuesCount() + "]", each));
    }
    return list.build();
  }

  private static double number(String path, Number number) {
    if (number instanceof Double wide) {
      return wide;
    }
    if (number instanceof Float narrow) {
      // By its digits, so that a float of 0.1 arrives as 0.1.
      return Double.parseDouble(narrow.toString());
    }
    BigDecimal exact;
    try {
      exact = new BigDecimal(number.toString());
    } catch (NumberFormatException otherForm) {
      throw refuse(path, "a number", number);
    }
    if (exact.abs().compareTo(LARGEST_INTEGER) > 0) {
      throw new IllegalArgumentException(
          path + ": expected an integer of at most 2^53; send larger ones as strings");
    }
    return exact.doubleValue();
  }

  private static IllegalArgumentException refuse(String path, String expected, Object got) {
    var kind = got == null ? "null" : "a " + got.getClass().getName();
    return new IllegalArgumentException(path + ": expected " + expected + ", got " + kind);
  }
}
