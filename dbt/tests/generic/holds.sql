{# Every row meets the expression: rows for which it is false or unknown are returned. #}
{% test holds(model, expression) %}
select * from {{ model }} where ({{ expression }}) is not true
{% endtest %}
